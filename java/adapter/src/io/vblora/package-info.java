/** VB-LoRA fine-tuning for the JVM. */
package io.vblora;
