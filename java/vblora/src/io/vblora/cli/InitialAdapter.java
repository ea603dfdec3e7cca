package io.vblora.cli;

import com.fasterxml.jackson.databind.JsonNode;
import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterFolder;
import io.vblora.adapter.ModuleShape;
import io.vblora.data.CausalLmConfig;
import io.vblora.model.SequenceConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * The adapter that training goes on from. Options may repeat its configuration, but not change it.
 *
 * @param task null if it is not one for sequences
 */
record InitialAdapter(AdapterFolder folder, SequenceConfig task) {
    /** @throws InputException if its configuration cannot be used, or rules out training */
    static InitialAdapter read(Path folder) {
        Invocation.requireAdapter("--init-adapter", folder);
        AdapterFolder adapter = AdapterFolder.read(folder);
        AdapterConfig config = adapter.config();
        config.requireTrainable("to train it");
        return new InitialAdapter(adapter, Task.sequenceConfig(adapter));
    }

    /** What it was taught on as a language model; null if it is not one, or does not say. */
    CausalLmConfig causalLm() {
        return CausalLmConfig.of(folder).orElse(null);
    }

    AdapterConfig config() {
        return folder.config();
    }

    /** What it is trained for. */
    Task trainedTask() {
        return task == null ? Task.CAUSAL_LM : Task.of(task.problemType());
    }

    /** Refuses options that contradict it. */
    void checkAgrees(Invocation invocation, List<String> ofConfig, AdapterConfig options, PoolingOption pooling,
            DataOptions data) {
        for (String option : ofConfig) {
            String key = option.substring(2).replace('-', '_');
            JsonNode wanted = options.json().path(key);
            JsonNode found = config().json().path(key);
            agree(invocation, option, wanted, found, wanted.doubleValue() == found.doubleValue());
        }
        agree(invocation, "--bias", options.bias(), config().bias(), options.bias().equals(config().bias()));
        agree(invocation, "--modules-to-save", options.modulesToSave(), config().modulesToSave(),
                Set.copyOf(options.modulesToSave()).equals(Set.copyOf(config().modulesToSave())));
        if (task != null) {
            agree(invocation, "--pooling", pooling, task.pooling(), pooling.pooling() == task.pooling());
            data.checkMaxSeqLength(invocation, task.maxSeqLength(), folder.path());
        }
    }

    void agree(Invocation invocation, String option, Object wanted, Object found, boolean equal) {
        invocation.check(!invocation.isGiven(option) || equal, option + ": found " + wanted + "; expected " + found
                + ", as the adapter in " + folder.path() + " has it");
    }

    /** Refuses --target-modules that select other modules than it has. */
    void checkTargets(Invocation invocation, AdapterConfig options, Adapter adapter, List<ModuleShape> linears) {
        if (invocation.isGiven("--target-modules")) {
            List<String> wanted = options.modules().select(linears).stream().map(ModuleShape::path).toList();
            List<String> offered = linears.stream().map(ModuleShape::path).toList();
            List<String> found = adapter.modules().stream().map(AdaptedModule::path).filter(offered::contains)
                    .toList();
            invocation.check(wanted.size() == found.size() && found.containsAll(wanted), "--target-modules: found "
                    + wanted.size() + " modules; expected the " + found.size() + " of the adapter in " + folder.path());
        }
    }
}
