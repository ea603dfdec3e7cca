package io.vblora.adapter;

import io.vblora.adapter.peft.PeftKeys;
import io.vblora.parameters.ParameterLayout;
import java.util.List;

/** A and B of all modules in the packed buffer of a {@link Composition}, under the names that PEFT's LoRA has. */
public final class PackedLayout {
    private PackedLayout() {}

    /** For each module first A [r, in], then B, whose transpose [r, out] lies in the buffer. */
    public static ParameterLayout of(AdapterConfig config, List<ModuleShape> modules) {
        ParameterLayout.Builder layout = ParameterLayout.builder();
        for (ModuleShape module : modules) {
            int r = config.r(module.path());
            layout.add(PeftKeys.of(module.path(), PeftKeys.LORA_A), r, module.inFeatures());
            layout.addTransposed(PeftKeys.of(module.path(), PeftKeys.LORA_B), module.outFeatures(), r);
        }
        return layout.build();
    }
}
