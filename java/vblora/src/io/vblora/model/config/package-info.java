/** The architectures of models, as config.json in a Hugging Face folder describes them. */
package io.vblora.model.config;
