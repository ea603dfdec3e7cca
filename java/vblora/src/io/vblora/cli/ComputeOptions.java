package io.vblora.cli;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import picocli.CommandLine.Option;

/** Options that say on which device, and with which numbers, a model is computed. */
final class ComputeOptions {
    /** The most that the native library takes. */
    private static final int MAX_THREADS = 1024;

    @Option(names = "--device", paramLabel = "DEVICE",
            description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    private DeviceOption device = DeviceOption.AUTO;

    @Option(names = "--dtype", paramLabel = "TYPE",
            description = "Type in which the frozen weights are held: ${COMPLETION-CANDIDATES}; auto keeps the type in "
                    + "which they are stored (default: ${DEFAULT-VALUE}).")
    private DtypeOption dtype = DtypeOption.AUTO;

    @Option(names = "--threads", paramLabel = "N",
            description = "CPU threads; 0 takes all that this process may use (default: ${DEFAULT-VALUE}). Results do "
                    + "not depend on their number.")
    private int threads;

    void check(Invocation invocation) {
        invocation.check(threads >= 0 && threads <= MAX_THREADS, "--threads: found " + threads + "; expected 0 to "
                + MAX_THREADS);
    }

    /** The type of the frozen weights, or null for the type in which they are stored. */
    DType dtype() {
        return dtype.dtype();
    }

    /** A stream on the device, which the caller closes. */
    Stream open(Invocation invocation) {
        return Stream.on(device.choose(invocation.err()), threads);
    }
}
