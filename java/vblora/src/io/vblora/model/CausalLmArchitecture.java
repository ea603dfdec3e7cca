package io.vblora.model;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.model.config.DecoderConfig;
import java.nio.file.Path;
import java.util.function.Function;

/**
 * An architecture of language models, chosen by model_type in config.json. One from elsewhere is found as a service
 * ({@link io.vblora.Services}) of this type: a public class with a constructor without parameters, named in
 * META-INF/services or provided by a module.
 */
public interface CausalLmArchitecture {
    /** What config.json has as model_type, for example "llama". */
    String modelType();

    /** @throws io.vblora.InputException if config.json is not there, or not that of such a model */
    DecoderConfig config(Path folder);

    /** As {@link CausalLm#load}. */
    CausalLm load(Path folder, DType dtype, Stream stream);

    /** How a model is loaded. */
    @FunctionalInterface
    interface Loader {
        CausalLm load(Path folder, DType dtype, Stream stream);
    }

    static CausalLmArchitecture of(String modelType, Function<Path, DecoderConfig> config, Loader loader) {
        return new CausalLmArchitecture() {
            @Override
            public String modelType() {
                return modelType;
            }

            @Override
            public DecoderConfig config(Path folder) {
                return config.apply(folder);
            }

            @Override
            public CausalLm load(Path folder, DType dtype, Stream stream) {
                return loader.load(folder, dtype, stream);
            }
        };
    }
}
