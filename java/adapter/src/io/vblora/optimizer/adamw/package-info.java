/** AdamW with PyTorch's arithmetic, of dense parameters, and of logits by active sets. */
package io.vblora.optimizer.adamw;
