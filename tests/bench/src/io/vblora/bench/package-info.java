/** Benchmarks beside other libraries: {@code ./vblora bench}. */
package io.vblora.bench;
