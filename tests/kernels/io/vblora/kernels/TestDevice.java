package io.vblora.kernels;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.util.Arrays;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.condition.EnabledIf;

/**
 * The device that tests of all devices run on: the one that the system property {@code vblora.test.device} names. The
 * build runs them on {@code cpu} (default), again on {@code simt}, the SIMT host, which is CUDA device 0 of a library
 * built for it, and on {@code gpu}, CUDA device 0, where the machine has one.
 */
public final class TestDevice {
    private static final String NAME = System.getProperty("vblora.test.device", "cpu");

    public static final Device DEVICE = switch (NAME) {
        case "cpu" -> Device.CPU;
        case "simt", "gpu" -> Device.cuda(0);
        default -> throw new IllegalArgumentException("vblora.test.device is cpu, simt or gpu, found " + NAME);
    };

    private TestDevice() {}

    /** The tests of a class run on {@link #DEVICE}, whichever it is. */
    @Target(ElementType.TYPE)
    @Retention(RetentionPolicy.RUNTIME)
    @Tag("device")
    @EnabledIf(value = "io.vblora.kernels.TestDevice#isUsable", disabledReason = NO_GPU)
    public @interface OnAny {}

    /** The tests of a class run on {@link #DEVICE}, where that is not the CPU. */
    @Target(ElementType.TYPE)
    @Retention(RetentionPolicy.RUNTIME)
    @Tag("cuda")
    @EnabledIf(value = "io.vblora.kernels.TestDevice#isUsable", disabledReason = NO_GPU)
    public @interface OnCuda {}

    private static final String NO_GPU = "the GPU needs a library compiled with nvcc, and a driver that works";

    /** False for a GPU whose driver does not work, or that the library was built without. */
    static boolean isUsable() {
        return !isGpu() || Device.probeCuda().count() > 0;
    }

    /** Whether {@link #DEVICE} is neither the CPU nor the SIMT host. */
    public static boolean isGpu() {
        return NAME.equals("gpu");
    }

    /** A stream of the device; on the CPU with two threads. */
    public static Stream stream() {
        return Stream.on(DEVICE, 2);
    }

    /** A float32 tensor of the device. */
    public static Tensor of(float[] values, long... shape) {
        return allocate(DType.FLOAT32, shape, values.length).copyFrom(values);
    }

    /** An int32 tensor of the device. */
    public static Tensor of(int[] values, long... shape) {
        return allocate(DType.INT32, shape, values.length).copyFrom(values);
    }

    /** Zeros on the device. */
    public static Tensor zeros(DType dtype, long... shape) {
        return Tensor.allocate(DEVICE, dtype, shape);
    }

    private static Tensor allocate(DType dtype, long[] shape, int values) {
        if (Tensor.count(shape) != values) {
            throw new IllegalArgumentException(values + " values for shape " + Arrays.toString(shape));
        }
        return zeros(dtype, shape);
    }
}
