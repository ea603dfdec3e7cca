/** Training data: tokenizers, files of examples, padded batches and the order in which they are visited. */
package io.vblora.data;
