/** Scores of predictions on data with known answers, by the names and definitions of Hugging Face and GLUE. */
package io.vblora.eval;
