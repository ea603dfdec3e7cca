package io.vblora.model;

import java.util.List;

/**
 * Passes that take the same memory have an equal one.
 *
 * @param kind what is computed, and whether it is for training
 * @param rows that ops go over, such as tokens and sequences: their runs that use the same adapter
 */
public record PassShape(String kind, Bucket bucket, List<Rows> rows, Updates.Layout layout) {}
