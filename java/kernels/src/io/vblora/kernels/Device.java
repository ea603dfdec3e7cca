package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.VBL_NO_DEVICE;
import static io.vblora.kernels.global.vblora.vbl_cuda_architectures;
import static io.vblora.kernels.global.vblora.vbl_cuda_compiled;
import static io.vblora.kernels.global.vblora.vbl_cuda_device_count;
import static io.vblora.kernels.global.vblora.vbl_cuda_device_properties;
import static io.vblora.kernels.global.vblora.vbl_last_error;

import io.vblora.kernels.bindings.vbl_cuda_properties;
import java.util.Locale;
import org.bytedeco.javacpp.IntPointer;

/** Where memory lies and ops run: the CPU, or a CUDA device by its number. */
public record Device(int index) {
    public static final Device CPU = new Device(-1);

    public Device {
        if (index < -1) {
            throw new IllegalArgumentException("A device is -1 (CPU) or a CUDA device number, found " + index);
        }
    }

    public static Device cuda(int index) {
        if (index < 0) {
            throw new IllegalArgumentException("CUDA devices are numbered from 0, found " + index);
        }
        return new Device(index);
    }

    public boolean isCpu() {
        return index < 0;
    }

    /**
     * What is known of CUDA on this machine: the architectures that the library was compiled for, as CMake names them
     * ({@code 80} with PTX for later ones, {@code 90-real} without; {@code none} without CUDA code, {@code simt} on the
     * SIMT host), and the number of devices, or why there are none.
     */
    public record Cuda(boolean compiledIn, String architectures, int count, String reason) {}

    /** What the driver says about a CUDA device. */
    public record Properties(String name, int major, int minor, int multiprocessors, long memoryBytes, long l2Bytes) {
        @Override
        public String toString() {
            return String.format(Locale.ROOT, "%s, compute capability %d.%d, %.1f GiB", name, major, minor,
                    memoryBytes / (double) (1 << 30));
        }
    }

    /**
     * Asks the driver about this CUDA device.
     *
     * @throws KernelException if there is no such device, the CPU included
     */
    public Properties properties() {
        NativeLibrary.load();
        try (vbl_cuda_properties found = new vbl_cuda_properties()) {
            KernelException.check(vbl_cuda_device_properties(index, found));
            return new Properties(found.name().getString(), found.major(), found.minor(), found.multiprocessors(),
                    found.memory_bytes(), found.l2_bytes());
        }
    }

    /** Asks the driver. A missing device is no reason to throw. */
    public static Cuda probeCuda() {
        NativeLibrary.load();
        try (IntPointer count = new IntPointer(1)) {
            int status = vbl_cuda_device_count(count);
            if (status != VBL_NO_DEVICE) {
                KernelException.check(status);
            }
            String reason = status == VBL_NO_DEVICE ? vbl_last_error().getString() : "";
            return new Cuda(vbl_cuda_compiled() != 0, vbl_cuda_architectures().getString(), count.get(), reason);
        }
    }

    @Override
    public String toString() {
        return isCpu() ? "cpu" : "cuda:" + index;
    }
}
