package io.vblora.adapter.peft;

/** Names in PEFT's adapter folders. */
public final class PeftKeys {
    /** Name of the file with the configuration. */
    public static final String CONFIG_FILE = "adapter_config.json";
    /** Name of the file with the tensors. */
    public static final String WEIGHTS_FILE = "adapter_model.safetensors";

    /** The prefix of a path in the names of tensors. */
    public static final String MODULE_PREFIX = "base_model.model.";
    /** Suffixes of LoRA's matrices, after a module's path. */
    public static final String LORA_A = ".lora_A.weight";
    public static final String LORA_B = ".lora_B.weight";
    /** Suffixes of a parameter that is saved whole. */
    public static final String WEIGHT = ".weight";
    public static final String BIAS = ".bias";
    /** Suffix of an adapted layer's own bias, after the layer's path. */
    public static final String BASE_BIAS = ".base_layer.bias";
    /** Parts of names in PEFT's wrapper of a module to save, which holds the original module and the copy to train. */
    public static final String ORIGINAL_MODULE = ".original_module.";
    public static final String MODULES_TO_SAVE = ".modules_to_save.";

    private PeftKeys() {}

    /** The name of a module's tensor. */
    public static String of(String path, String suffix) {
        return MODULE_PREFIX + path + suffix;
    }
}
