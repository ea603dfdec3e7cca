package io.vblora.model;

/**
 * The shape of a batch: passes of one kind over batches of equal shape run the same ops on the same memory.
 *
 * @param sequences number of sequences
 * @param tokens number of tokens of all sequences
 * @param longest number of tokens that no sequence has more of
 */
public record Bucket(int sequences, int tokens, int longest) {}
