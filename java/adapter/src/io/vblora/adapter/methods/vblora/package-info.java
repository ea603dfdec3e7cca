/** VB-LoRA: sub-vectors of A and B are mixtures of the best vectors of one bank (arXiv 2405.15179). */
package io.vblora.adapter.methods.vblora;
