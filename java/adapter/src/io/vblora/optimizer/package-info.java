/**
 * Optimizers: what they remember about parameters, and how they change them. Each one is a package below this one.
 */
package io.vblora.optimizer;
