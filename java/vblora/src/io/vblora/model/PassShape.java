package io.vblora.model;

/**
 * Passes that take the same memory have an equal one.
 *
 * @param kind what is computed, and whether it is for training
 */
record PassShape(String kind, Bucket bucket, ModelUse.Layout layout) {}
