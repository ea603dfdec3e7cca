package io.vblora.adapter;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.LowRankUpdate;

/** What a module adds to its weight: scaling · B A. */
final class Delta {
    private Delta() {}

    static long[] shape(AdaptedModule module, boolean fanInFanOut) {
        return fanInFanOut ? new long[] {module.inFeatures(), module.outFeatures()}
                : new long[] {module.outFeatures(), module.inFeatures()};
    }

    /** On the CPU. */
    static Tensor of(AdaptedModule module, boolean fanInFanOut, Stream stream) {
        Tensor delta = Tensor.allocate(stream.device(), DType.FLOAT32, shape(module, fanInFanOut));
        try {
            new LowRankUpdate(module.inFeatures(), module.outFeatures(), module.r(), module.scaling(), fanInFanOut)
                    .delta(stream, module.a(), module.bt(), delta);
            stream.synchronize();
            if (stream.device().isCpu()) {
                return delta;
            }
            Tensor copy = Tensor.allocate(Device.CPU, DType.FLOAT32, delta.shape()).copyFrom(delta);
            delta.close();
            return copy;
        } catch (RuntimeException | Error e) {
            delta.close();
            throw e;
        }
    }
}
