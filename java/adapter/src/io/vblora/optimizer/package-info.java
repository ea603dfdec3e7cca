/**
 * Optimizers: what they remember of parameters, and how they change them. Each is a package of its own below this one.
 */
package io.vblora.optimizer;
