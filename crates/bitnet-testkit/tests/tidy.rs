//! The rules of the sources, kept by a test: what a reviewer would otherwise have to remember.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Files that may hold `unsafe`: the kernels, where memory is made or mapped, where kernels of GPUs are
/// compiled and their matrix units asked for, and the comparison of the pool with allocators, whose
/// interface is unsafe.
const UNSAFE_ALLOWED: [&str; 6] = [
    "crates/bitnet-kernels/src/",
    "crates/bitnet-wgpu/src/gpu/compile.rs",
    "crates/bitnet-wgpu/src/gpu/cooperative.rs",
    "crates/bitnet-tensor/src/memory/span.rs",
    "crates/bitnet-tensor/src/mapped.rs",
    "crates/bitnet-tensor/benches/memory.rs",
];

/// Files of more than [`MAX_LINES`], each with the reason that it is one.
const LONG_FILES: [(&str, &str); 1] = [(
    "crates/bitnet-kernels/src/attention.rs",
    "two ways through the same tiles, read side by side, and their tests",
)];
const MAX_LINES: usize = 600;

/// Words that say when a file was written instead of what it is.
const VERSION_WORDS: [&str; 9] =
    ["new", "old", "v2", "fixed", "backup", "final", "tmp", "copy", "orig"];

fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crates' folder");
    crates.parent().expect("the project's folder").to_path_buf()
}

/// Every file of the project with one of `extensions`, relative to the root, sorted.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    fn visit(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry.file_type().expect("a file type");
            if kind.is_dir() {
                if !name.starts_with('.') && !name.starts_with("target") && name != "node_modules" {
                    visit(&path, extensions, found);
                }
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    visit(&root, extensions, &mut found);
    let mut found: Vec<PathBuf> = found
        .iter()
        .map(|path| path.strip_prefix(&root).expect("under the root").to_path_buf())
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).expect("a readable text file")
}

/// The path with forward slashes.
fn name(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

/// The source with comments and the contents of literals replaced by spaces, line by line.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let chars: Vec<char> = source.chars().collect();
    let mut i = 0;
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    while i < chars.len() {
        let rest = &chars[i..];
        let starts = |text: &str| rest.iter().copied().take(text.len()).eq(text.chars());
        let before = i.checked_sub(1).map(|at| chars[at]);
        let word_before = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = if starts("//") {
            rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())
        } else if starts("/*") {
            (2..rest.len())
                .find(|&at| rest[at - 1] == '*' && rest[at] == '/' && at > 2)
                .map_or(rest.len(), |at| at + 1)
        } else if rest[0] == '"' {
            let mut at = 1;
            while at < rest.len() && rest[at] != '"' {
                at += if rest[at] == '\\' { 2 } else { 1 };
            }
            (at + 1).min(rest.len())
        } else if rest[0] == 'r' && !word_before && matches!(rest.get(1), Some('"' | '#')) {
            let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
            if rest.get(1 + hashes) == Some(&'"') {
                let end: Vec<char> =
                    std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let body = 2 + hashes;
                (body..rest.len())
                    .find(|&at| rest[at..].starts_with(&end))
                    .map_or(rest.len(), |at| at + end.len())
            } else {
                0
            }
        } else if rest[0] == '\'' && rest.get(1) == Some(&'\\') {
            (3..rest.len()).find(|&at| rest[at] == '\'').map_or(rest.len(), |at| at + 1)
        } else if rest[0] == '\'' && rest.get(2) == Some(&'\'') {
            3
        } else {
            0
        };
        if length == 0 {
            code.push(rest[0]);
            i += 1;
        } else {
            code.extend(rest[..length].iter().copied().map(blank));
            i += length;
        }
    }
    code
}

/// Whether `word` stands in `line` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

#[test]
fn every_source_file_says_what_it_is() {
    let faults: Vec<String> = files(&["rs"])
        .iter()
        .filter(|path| !read(path).starts_with("//! "))
        .map(|path| format!("{} does not open with `//!`", name(path)))
        .collect();
    report("Every .rs file opens with what it is and why", &faults);
}

#[test]
fn every_source_file_is_part_of_its_crate() {
    let mut faults = Vec::new();
    for path in files(&["rs"]) {
        let parts: Vec<Component<'_>> = path.components().collect();
        let Some(src) = parts.iter().position(|part| part.as_os_str() == "src") else { continue };
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if parts.len() == src + 2 && matches!(&*stem, "lib" | "main")
            || name(&path).contains("/src/bin/")
        {
            continue;
        }
        // `a/b.rs` is declared in `a/mod.rs` or `a.rs`; `a/mod.rs` one folder above.
        let folder = path.parent().expect("a folder");
        let (module, folder) = if stem == "mod" {
            (
                folder.file_name().expect("a name").to_string_lossy().into_owned(),
                folder.parent().expect("a folder"),
            )
        } else {
            (stem, folder)
        };
        let parents = [
            folder.join("mod.rs"),
            folder.join("lib.rs"),
            folder.join("main.rs"),
            folder.with_extension("rs"),
        ];
        let declared =
            parents.iter().filter(|parent| root().join(parent).is_file()).any(|parent| {
                let code = code_of(&read(parent));
                code.lines().any(|line| line.trim_end().ends_with(&format!("mod {module};")))
            });
        if !declared {
            faults.push(format!("{} is reached by no `mod {module};`", name(&path)));
        }
    }
    report("Every .rs file under src is compiled", &faults);
}

#[test]
fn nothing_is_left_to_be_done() {
    let mut faults = Vec::new();
    for path in files(&["rs"]) {
        for (n, line) in code_of(&read(&path)).lines().enumerate() {
            for macro_name in ["todo!", "unimplemented!", "dbg!"] {
                let found = line.find(macro_name).is_some_and(|at| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                });
                if found {
                    faults.push(format!("{}:{}: {macro_name}", name(&path), n + 1));
                }
            }
        }
    }
    report("No todo!, unimplemented! or dbg!", &faults);
}

#[test]
fn file_names_carry_no_versions() {
    let mut faults = Vec::new();
    for path in files(&[
        "rs", "md", "toml", "py", "sh", "json", "yml", "yaml", "js", "html", "css", "wgsl", "cu",
    ]) {
        let stem = path.file_stem().expect("a name").to_string_lossy().to_lowercase();
        let mut words = stem.split(['_', '-', '.', ' ']).rev();
        let last = words.next().unwrap_or_default();
        if words.next().is_some() && VERSION_WORDS.contains(&last) {
            faults.push(name(&path));
        }
    }
    report("No version words at the end of file names: history is git's", &faults);
}

#[test]
fn unsafe_code_is_where_it_may_be_and_says_why() {
    let mut faults = Vec::new();
    for path in files(&["rs"]) {
        let source = read(&path);
        let code = code_of(&source);
        let lines: Vec<&str> = source.lines().collect();
        for (n, line) in code.lines().enumerate() {
            // An `unsafe` function pointer type needs no reason: calling it does.
            if !has_word(line, "unsafe") {
                continue;
            }
            let place = format!("{}:{}", name(&path), n + 1);
            if !UNSAFE_ALLOWED.iter().any(|allowed| name(&path).starts_with(allowed)) {
                faults.push(format!("{place}: unsafe is not allowed in this file"));
            } else if !is_justified(&lines, n) {
                faults.push(format!("{place}: no SAFETY comment or `# Safety` section above"));
            }
        }
    }
    report("`unsafe` only in the files of the list, each with its reason", &faults);
}

/// Whether the comment above line `n` (or above the statement that it continues) gives a reason.
fn is_justified(lines: &[&str], n: usize) -> bool {
    let is_reason = |line: &str| line.contains("SAFETY:") || line.contains("# Safety");
    if is_reason(lines[n]) {
        return true;
    }
    let mut continued = 0;
    for line in lines[..n].iter().rev() {
        let line = line.trim();
        if is_reason(line) {
            return true;
        }
        let passes = line.starts_with("//") || line.starts_with("#[") || line.starts_with("#![");
        if !passes {
            // A few lines of the statement whose last line has the word.
            continued += 1;
            if continued > 3 || line.is_empty() || line.ends_with([';', '}']) {
                return false;
            }
        }
    }
    false
}

#[test]
fn long_files_have_a_reason() {
    let mut faults = Vec::new();
    for path in files(&["rs"]) {
        let (lines, listed) =
            (read(&path).lines().count(), LONG_FILES.iter().any(|(long, _)| *long == name(&path)));
        if lines > MAX_LINES && !listed {
            faults.push(format!(
                "{} has {lines} lines: split it, or list it with a reason",
                name(&path)
            ));
        }
        if lines <= MAX_LINES && listed {
            faults.push(format!(
                "{} has {lines} lines and is no longer long: take it off the list",
                name(&path)
            ));
        }
    }
    let missing = LONG_FILES.iter().filter(|(long, _)| !root().join(long).is_file());
    faults.extend(missing.map(|(long, _)| format!("{long} is listed but does not exist")));
    report("A file has one subject", &faults);
}

#[test]
fn documents_and_sources_name_no_machine() {
    // Pieced together, so that this file does not name them.
    let places = ["/home", "/Users", "/root", "/work", "C:\\Users"].map(|place| {
        let separator = if place.contains('\\') { '\\' } else { '/' };
        format!("{place}{separator}")
    });
    let mut faults = Vec::new();
    for path in files(&["rs", "md", "toml", "py", "sh", "yml", "yaml", "js", "html", "css"]) {
        for (n, line) in read(&path).lines().enumerate() {
            for place in &places {
                // A path begins where a word does not: `docs/work/x` and a URL's path are none.
                let begins = line.match_indices(place.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| {
                        c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '}' | ')')
                    })
                });
                if begins && !name(&path).ends_with("tests/tidy.rs") {
                    faults.push(format!("{}:{}: {place}", name(&path), n + 1));
                }
            }
        }
    }
    report("No absolute path of a machine", &faults);
}

#[test]
fn documents_have_no_emoji() {
    let mut faults = Vec::new();
    for path in files(&["rs", "md", "toml", "py", "sh", "html"]) {
        for (n, line) in read(&path).lines().enumerate() {
            let emoji =
                |c: &char| matches!(u32::from(*c), 0x1f000..=0x1faff | 0x2600..=0x27bf | 0xfe0f);
            if let Some(found) = line.chars().find(emoji) {
                faults.push(format!("{}:{}: U+{:04X}", name(&path), n + 1, u32::from(found)));
            }
        }
    }
    report("No emoji", &faults);
}

/// The text of a Markdown file without its fenced code.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((n + 1, line));
        }
    }
    lines
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for path in files(&["md"]) {
        let text = read(&path);
        for (n, line) in prose(&text) {
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
                let file = target.split('#').next().unwrap_or_default();
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if file.is_empty() || elsewhere {
                    continue;
                }
                let folder = path.parent().unwrap_or(Path::new(""));
                if !root().join(folder).join(file).exists() {
                    faults.push(format!("{}:{n}: {target}", name(&path)));
                }
            }
        }
    }
    report("Links to files exist", &faults);
}

#[test]
fn the_architecture_names_what_exists() {
    let document = root().join("ARCHITECTURE.md");
    assert!(
        document.is_file(),
        "ARCHITECTURE.md is missing: the map of the code, at the root of the project"
    );
    let text = fs::read_to_string(document).expect("readable");
    // Paths are from the root, or from the crate whose section they stand in; a bare file name is
    // beside the path that was named last.
    let (mut home, mut beside) = (PathBuf::new(), PathBuf::new());
    let mut faults = Vec::new();
    for (n, line) in prose(&text) {
        if let Some(title) = line.strip_prefix("## ") {
            let folder = Path::new("crates").join(title.trim());
            home = if root().join(&folder).is_dir() { folder } else { PathBuf::new() };
            beside = home.clone();
        }
        for code in line.split('`').skip(1).step_by(2) {
            let is_path =
                code.contains('/') || [".rs", ".md", ".toml"].iter().any(|end| code.ends_with(end));
            // Not commands, URLs, generic names or expressions.
            let is_plain = code.chars().all(|c| c.is_alphanumeric() || "/._-*{},".contains(c));
            if !is_path || !is_plain {
                continue;
            }
            for path in alternatives(code) {
                let folders = [Path::new(""), Path::new("crates"), &home, &beside];
                let found =
                    folders.iter().map(|folder| folder.join(&path)).find(|path| exists(path));
                match found {
                    None => faults.push(format!("ARCHITECTURE.md:{n}: {path}")),
                    Some(found) if root().join(&found).is_dir() => beside = found,
                    Some(found) => {
                        beside = found.parent().map(Path::to_path_buf).unwrap_or_default()
                    }
                }
            }
        }
    }
    report("Every path in ARCHITECTURE.md exists", &faults);
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn alternatives(path: &str) -> Vec<String> {
    match (path.find('{'), path.find('}')) {
        (Some(open), Some(close)) if open < close => path[open + 1..close]
            .split(',')
            .flat_map(|part| {
                alternatives(&format!("{}{part}{}", &path[..open], &path[close + 1..]))
            })
            .collect(),
        _ => vec![path.to_string()],
    }
}

/// Whether the path exists, from the root; of `a/*` whether `a` does.
fn exists(path: &Path) -> bool {
    let fixed: PathBuf = path
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains('*'))
        .collect();
    root().join(fixed).exists()
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let source = "let a = \"unsafe \\\" //\"; // todo!\nlet b = r#\"dbg!\"#; let c = '\"'; let d: &'static str = b; /* x */ e";
    let code = code_of(source);
    assert_eq!(code.chars().count(), source.chars().count());
    for word in ["unsafe", "todo", "dbg", "x"] {
        assert!(!has_word(&code, word), "{word}: {code}");
    }
    for word in ["a", "b", "c", "d", "static", "str", "e"] {
        assert!(has_word(&code, word), "{word}: {code}");
    }
}
