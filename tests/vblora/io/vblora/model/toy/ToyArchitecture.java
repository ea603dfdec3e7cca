package io.vblora.model.toy;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.model.CausalLm;
import io.vblora.model.CausalLmArchitecture;
import io.vblora.model.config.DecoderConfig;
import java.nio.file.Path;

/** {@link ToyDecoder} as a service. */
public final class ToyArchitecture implements CausalLmArchitecture {
    @Override
    public String modelType() {
        return "toy";
    }

    @Override
    public DecoderConfig config(Path folder) {
        return ToyConfig.read(folder);
    }

    @Override
    public CausalLm load(Path folder, DType dtype, Stream stream) {
        return ToyDecoder.load(folder, dtype, stream);
    }
}
