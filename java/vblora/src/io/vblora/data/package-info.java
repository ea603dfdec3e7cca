/**
 * Training data: tokenizers, files of examples (texts and tokens for causal language models, prompts with responses,
 * labelled texts and pairs of texts), and the order in which they are visited.
 */
package io.vblora.data;
