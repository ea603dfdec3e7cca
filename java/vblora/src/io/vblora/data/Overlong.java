package io.vblora.data;

import java.util.Locale;

/** What becomes of an example with more tokens than the maximum. */
public enum Overlong {
    /**
     * It is cut to the maximum. Of a text for a language model the first tokens stay; of a text or a pair for an
     * encoder, what {@link Tokenizer#encode(String, String, int)} leaves. An example in which nothing is left that
     * counts in the loss, such as a response after a long prompt, is skipped.
     */
    CUT,
    /** It is skipped. */
    SKIP,
    /** The file is refused. */
    ERROR;

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
