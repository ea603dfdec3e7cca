package io.vblora.kernels;

import java.util.Arrays;

/**
 * The device that tests tagged {@code device} run on: the one that the system property {@code vblora.test.device} names,
 * {@code cpu} (default) or {@code cuda:0}. The build runs them twice, on the CPU and on the SIMT host, which is CUDA
 * device 0 of a library built for it.
 */
public final class TestDevice {
    /** Tag of the tests that run on any device. */
    public static final String TAG = "device";

    public static final Device DEVICE = parse(System.getProperty("vblora.test.device", "cpu"));

    private TestDevice() {}

    private static Device parse(String name) {
        return name.equals("cpu") ? Device.CPU : Device.cuda(Integer.parseInt(name.replace("cuda:", "")));
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
