//! What the library does not set out to do, by reason.

/// Reasons, and the operators that each explains.
pub(crate) const OUT_OF_SCOPE: &[(&str, &[&str])] = &[
    ("control flow", &["If", "Loop", "Scan"]),
    (
        "sequences and optionals",
        &[
            "OptionalGetElement",
            "OptionalHasElement",
            "SequenceInsert",
            "SequenceMap",
            "SplitToSequence",
        ],
    ),
    (
        "texts",
        &["RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"],
    ),
    (
        "images: decoding, resampling, boxes",
        &["DeformConv", "GridSample", "ImageDecoder", "NonMaxSuppression", "Resize", "RoiAlign"],
    ),
    ("recurrent networks", &["GRU", "LSTM", "RNN"]),
    ("functions given as graphs", &["ai.onnx.preview.FlexAttention"]),
    ("spectra", &["DFT", "MelWeightMatrix", "STFT"]),
    ("random numbers of another generator", &["Bernoulli"]),
    ("classical machine learning", &["ai.onnx.ml.LabelEncoder", "ai.onnx.ml.TreeEnsemble"]),
    (
        "optimizers: the trainer's",
        &[
            "ai.onnx.preview.training.Adagrad",
            "ai.onnx.preview.training.Adam",
            "ai.onnx.preview.training.Momentum",
        ],
    ),
];
