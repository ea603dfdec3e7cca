package io.vblora.model;

import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.Services;
import io.vblora.model.config.LlamaConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** All architectures of language models. */
final class CausalLmArchitectures {
    private static final List<CausalLmArchitecture> OWN = List.of(
            CausalLmArchitecture.of("llama", LlamaConfig::read, LlamaModel::load));

    private CausalLmArchitectures() {}

    /**
     * The architecture that config.json names.
     *
     * @throws InputException if config.json is not there, or names none
     * @throws IllegalStateException if two have the same model_type
     */
    static CausalLmArchitecture of(Path folder) {
        JsonFields config = JsonFields.read(folder.resolve("config.json"));
        String modelType = config.string("model_type");
        Map<String, CausalLmArchitecture> all = all();
        if (!all.containsKey(modelType)) {
            throw config.wrong("model_type", all.keySet().stream().map(type -> '"' + type + '"')
                    .collect(Collectors.joining(" or "))
                    + "; encoders of BERT's type are for sequence-classification and sequence-regression");
        }
        return all.get(modelType);
    }

    private static Map<String, CausalLmArchitecture> all() {
        Map<String, CausalLmArchitecture> all = new LinkedHashMap<>();
        for (List<CausalLmArchitecture> some : List.of(OWN, Services.all(CausalLmArchitecture.class))) {
            for (CausalLmArchitecture architecture : some) {
                CausalLmArchitecture other = all.put(architecture.modelType(), architecture);
                if (other != null) {
                    throw new IllegalStateException("Two architectures have the model_type "
                            + architecture.modelType() + ": " + other.getClass().getName() + " and "
                            + architecture.getClass().getName());
                }
            }
        }
        return all;
    }
}
