package io.vblora.bench;

import io.vblora.adapter.ModuleShape;
import java.util.ArrayList;
import java.util.List;

/** The linear layers of a model, as an adapter of all of them sees it. */
public enum AdaptedModel {
    /** RoBERTa-base (arXiv 1907.11692): 12 layers, hidden 768, intermediate 3072; 72 linear layers. */
    ROBERTA_BASE("roberta-base", 1024) {
        @Override
        List<ModuleShape> modules() {
            List<ModuleShape> modules = new ArrayList<>();
            for (int i = 0; i < 12; i++) {
                String layer = "encoder.layer." + i + ".";
                for (String name : List.of("attention.self.query", "attention.self.key", "attention.self.value",
                        "attention.output.dense")) {
                    modules.add(new ModuleShape(layer + name, 768, 768));
                }
                modules.add(new ModuleShape(layer + "intermediate.dense", 768, 3072));
                modules.add(new ModuleShape(layer + "output.dense", 3072, 768));
            }
            return modules;
        }
    },

    /** One layer of Llama-2-7B (arXiv 2307.09288): hidden 4096, intermediate 11008; 7 linear layers. */
    LLAMA2_7B_LAYER("llama2-7b-layer", 2048) {
        @Override
        List<ModuleShape> modules() {
            List<ModuleShape> modules = new ArrayList<>();
            for (String name : List.of("q_proj", "k_proj", "v_proj", "o_proj")) {
                modules.add(new ModuleShape("layers.0.self_attn." + name, 4096, 4096));
            }
            modules.add(new ModuleShape("layers.0.mlp.gate_proj", 4096, 11008));
            modules.add(new ModuleShape("layers.0.mlp.up_proj", 4096, 11008));
            modules.add(new ModuleShape("layers.0.mlp.down_proj", 11008, 4096));
            return modules;
        }
    };

    private final String label;
    private final int numVectors;

    AdaptedModel(String label, int numVectors) {
        this.label = label;
        this.numVectors = numVectors;
    }

    /** All linear layers. */
    abstract List<ModuleShape> modules();

    /** Vectors of the larger bank that is measured. */
    int numVectors() {
        return numVectors;
    }

    @Override
    public String toString() {
        return label;
    }
}
