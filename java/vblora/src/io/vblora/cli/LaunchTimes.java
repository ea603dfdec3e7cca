package io.vblora.cli;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import java.util.Arrays;

/** Microseconds that a thread needs to launch a kernel through the public API: median, 10th and 90th percentile. */
record LaunchTimes(int repetitions, double median, double low, double high) {
    /** Launches between two readings of the clock, fewer than a CUDA stream accepts before it makes the host wait. */
    private static final int BURST = 200;
    /** Bursts before the first one that counts; by then the code is compiled. */
    private static final int WARM_UPS = 100;

    static LaunchTimes measure(Device device, int repetitions) {
        double[] times = new double[repetitions];
        try (Stream stream = Stream.on(device, 0);
                Tensor source = Tensor.allocate(device, DType.FLOAT32, 1);
                Tensor destination = Tensor.allocate(device, DType.BFLOAT16, 1)) {
            for (int i = -WARM_UPS; i < repetitions; i++) {
                stream.synchronize();
                long start = System.nanoTime();
                for (int j = 0; j < BURST; j++) {
                    Memory.convert(stream, source, destination);
                }
                if (i >= 0) {
                    times[i] = (System.nanoTime() - start) * 1e-3 / BURST;
                }
            }
            stream.synchronize();
        }
        Arrays.sort(times);
        return new LaunchTimes(repetitions, percentile(times, 0.5), percentile(times, 0.1), percentile(times, 0.9));
    }

    private static double percentile(double[] sorted, double share) {
        return sorted[(int) Math.round(share * (sorted.length - 1))];
    }
}
