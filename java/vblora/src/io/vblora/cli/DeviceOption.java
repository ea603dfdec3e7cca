package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.kernels.Device;
import java.io.PrintWriter;
import java.util.Locale;

/** Values of {@code --device}. */
enum DeviceOption {
    AUTO, CPU, CUDA;

    /**
     * The device to run on.
     *
     * @param err is told why {@code auto} takes the CPU
     * @throws InputException if CUDA is asked for and not available
     */
    Device choose(PrintWriter err) {
        if (this == CPU) {
            return Device.CPU;
        }
        String reason = noCuda(Device.probeCuda());
        if (this == CUDA) {
            throw new InputException("--device", "", "cuda, but " + reason, "cpu or auto");
        }
        err.println("vblora: running on the CPU: " + reason + ".");
        err.flush();
        return Device.CPU;
    }

    /** Why training does not run on CUDA. */
    static String noCuda(Device.Cuda cuda) {
        if (!cuda.compiledIn()) {
            return "this build has no CUDA code, and models run on the CPU alone in this version";
        }
        return cuda.count() == 0 ? "there is no CUDA device (" + cuda.reason() + ")"
                : "models run on the CPU alone in this version, though a CUDA device is there";
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
