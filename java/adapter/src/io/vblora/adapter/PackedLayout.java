package io.vblora.adapter;

import io.vblora.adapter.peft.PeftKeys;
import io.vblora.parameters.ParameterLayout;
import java.util.List;

/** Where A and B of all modules lie in the packed buffer of a {@link Composition}, under the names of PEFT's LoRA. */
public final class PackedLayout {
    private PackedLayout() {}

    /** For each module first A [r, in], then B, whose transpose [r, out] lies in the buffer: its factors. */
    public static ParameterLayout of(AdapterConfig config, List<ModuleShape> modules) {
        ParameterLayout.Builder layout = ParameterLayout.builder();
        for (ModuleShape module : modules) {
            layout.addFactors(PeftKeys.of(module.path(), PeftKeys.LORA_A), PeftKeys.of(module.path(), PeftKeys.LORA_B),
                    config.r(module.path()), module.inFeatures(), module.outFeatures());
        }
        return layout.build();
    }
}
