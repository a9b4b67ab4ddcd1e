//! Chat templates of published model families, rendered as Python's Jinja renders them.
//!
//! `chat_templates.json` holds the templates, conversations and the texts that jinja2 makes of
//! them in the environment of transformers' `apply_chat_template` (`trim_blocks`, `lstrip_blocks`,
//! loop controls, `raise_exception`, its `tojson`).

use std::collections::BTreeMap;

use bitnet_llm::chat_template::{ChatTemplate, Message};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    conversations: BTreeMap<String, Vec<Message>>,
    bos_token: String,
    eos_token: String,
    templates: BTreeMap<String, Template>,
}

#[derive(Deserialize)]
struct Template {
    template: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    conversation: String,
    add_generation_prompt: bool,
    text: Option<String>,
    error: Option<String>,
}

#[test]
fn templates_render_as_in_python() {
    let golden: Golden = serde_json::from_str(include_str!("chat_templates.json")).unwrap();
    assert_eq!(golden.templates.len(), 7);
    for (name, template) in &golden.templates {
        let compiled =
            ChatTemplate::new(&template.template, &golden.bos_token, &golden.eos_token).unwrap();
        for case in &template.cases {
            let messages = &golden.conversations[&case.conversation];
            let rendered = compiled.render(messages, case.add_generation_prompt);
            let place = format!("{name}, {}", case.conversation);
            match (&case.text, &case.error) {
                (Some(text), _) => assert_eq!(&rendered.unwrap(), text, "{place}"),
                (None, Some(error)) => {
                    let message = rendered.unwrap_err().to_string();
                    assert!(message.contains(error), "{place}: {message}");
                }
                (None, None) => panic!("{place}: the golden file has neither text nor error"),
            }
        }
    }
}
