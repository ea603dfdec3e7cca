package io.vblora.model;

import java.util.Locale;

/** What a model with a head on an encoder predicts; names are Hugging Face's problem_type. */
public enum ProblemType {
    /** One class per sequence, by cross-entropy. */
    SINGLE_LABEL_CLASSIFICATION,
    /** One number per sequence, by squared error. */
    REGRESSION;

    /** The name in files: in lower case. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
