package io.vblora.adapter;

import io.vblora.parameters.ParameterLayout;
import java.util.List;

/** A and B of all modules in the packed buffer of a {@link Composition}, under the names that PEFT's LoRA has. */
final class PackedLayout {
    private PackedLayout() {}

    /** For each module first A [r, in], then B, whose transpose [r, out] lies in the buffer. */
    static ParameterLayout of(AdapterConfig config, List<ModuleShape> modules) {
        ParameterLayout.Builder layout = ParameterLayout.builder();
        for (ModuleShape module : modules) {
            int r = config.r(module.path());
            layout.add(PeftKeys.loraA(module.path()), r, module.inFeatures());
            layout.addTransposed(PeftKeys.loraB(module.path()), module.outFeatures(), r);
        }
        return layout.build();
    }
}
