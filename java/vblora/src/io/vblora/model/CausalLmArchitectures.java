package io.vblora.model;

import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.Services;
import io.vblora.model.config.LlamaConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** All architectures of language models. */
final class CausalLmArchitectures {
    private static final List<CausalLmArchitecture> OWN = List.of(
            CausalLmArchitecture.of("llama", LlamaConfig::read, LlamaModel::load));

    private CausalLmArchitectures() {}

    /** @throws InputException if config.json is not there, or names none */
    static CausalLmArchitecture of(Path folder) {
        JsonFields config = JsonFields.read(folder.resolve("config.json"));
        String modelType = config.string("model_type");
        return all().filter(architecture -> architecture.modelType().equals(modelType)).findFirst()
                .orElseThrow(() -> config.wrong("model_type", all()
                        .map(architecture -> '"' + architecture.modelType() + '"').collect(Collectors.joining(" or "))
                        + "; encoders of BERT's type are for sequence-classification and sequence-regression"));
    }

    private static Stream<CausalLmArchitecture> all() {
        return Stream.concat(OWN.stream(), Services.all(CausalLmArchitecture.class).stream());
    }
}
