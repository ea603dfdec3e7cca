package io.vblora.model;

import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.Services;
import io.vblora.model.config.LlamaConfig;
import java.nio.file.Path;
import java.util.ArrayList;
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
     * @throws io.vblora.ServicesException if two have the same model_type, or one cannot be used
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
        List<CausalLmArchitecture> all = new ArrayList<>(OWN);
        all.addAll(Services.all(CausalLmArchitecture.class));
        return Services.byName(all, CausalLmArchitecture::modelType, "Two architectures have the model_type");
    }
}
