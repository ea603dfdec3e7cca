package io.vblora.model;

import java.util.List;

/**
 * Passes that take the same memory have an equal one.
 *
 * @param kind what is computed, and whether it is for training
 * @param runs of the rows, by the adapters that they use
 * @param scored number of rows that a language model's head computes, unless these are all
 */
record PassShape(String kind, Bucket bucket, List<Rows.Run> runs, int scored, Updates.Layout layout) {}
