package io.vblora.model.config;

import java.util.Locale;

/** How the output of an encoder becomes one vector per sequence. */
public enum Pooling {
    /** The first token's. */
    CLS,
    /** The mean over the tokens that are not padding. */
    MEAN,
    /** tanh of the layer {@code pooler.dense} on the first token's, as BERT's own classifier has it. */
    POOLER;

    /** The name in files: in lower case. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
