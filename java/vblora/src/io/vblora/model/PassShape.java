package io.vblora.model;

/**
 * Passes that take the same memory have an equal one.
 *
 * @param kind what is computed, and whether it is for training
 * @param size sequences
 * @param tokens of all sequences
 * @param longest tokens of the longest sequence
 */
record PassShape(String kind, int size, int tokens, int longest, ModelUse.Layout layout) {
    static PassShape of(String kind, TokenBatch batch, ModelUse.Layout layout) {
        return new PassShape(kind, batch.size(), batch.tokens(), batch.longest(), layout);
    }
}
