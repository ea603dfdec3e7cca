package io.vblora.adapter;

import io.vblora.JsonFields;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.parameters.ParameterGroup;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * A method of adaptation, such as LoRA: what is known about it without an adapter. What depends on a configuration,
 * most of all the composition, is made by its {@link AdapterConfig}. Everything else treats all methods alike, and
 * finds them through {@link AdapterMethods}. Immutable; used by any number of threads.
 */
public interface AdapterMethod {
    /** PEFT's name of the method, which is the {@code peft_type} of its configurations: VBLORA. */
    String peftType();

    /** What people call it: VB-LoRA. */
    String title();

    /** What the command line calls it. */
    default String optionName() {
        return peftType().toLowerCase(Locale.ROOT);
    }

    /** PEFT's {@code bias} of this method for the biases of adapted layers: vblora_only. */
    default String biasOfAdapted() {
        return peftType().toLowerCase(Locale.ROOT) + "_only";
    }

    /**
     * Reads and checks a configuration of this method.
     *
     * @throws io.vblora.InputException naming the key, what was found and what was expected
     */
    AdapterConfig config(JsonFields fields);

    /** A builder that begins with PEFT's defaults. */
    AdapterConfig.Builder<?> builder();

    /** The groups of the parameters that its updates are made of. */
    List<ParameterGroup> groups();

    /** The rank of its updates where the command line names none. */
    default int defaultRank() {
        return builder().build().r();
    }

    /** The settings that the command line offers in addition to those of all methods. */
    default List<MethodOption> options() {
        return List.of();
    }

    /** The learning rates of these groups that the command line offers; that of all methods is not among them. */
    default List<MethodOption> learningRates() {
        return List.of();
    }

    /**
     * The forms in which updates of this method are stored. The first holds everything that further training needs; a
     * second one, if there is any, is compact and for inference alone.
     */
    List<StoredForm> forms();

    /** How the command line asks for the compact form, if there is one. */
    default Optional<MethodSwitch> compactForm() {
        return Optional.empty();
    }

    /**
     * Whether an adapter that has only modules to save, such as the head of a task, is written as one of this method,
     * without updates.
     */
    default boolean isOfModulesToSaveAlone() {
        return false;
    }

    /** Whether the size of an adapter is compared with that of LoRA of the same rank: not for LoRA itself. */
    default boolean isComparedWithLora() {
        return true;
    }
}
