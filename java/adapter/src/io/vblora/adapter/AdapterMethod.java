package io.vblora.adapter;

import io.vblora.JsonFields;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.parameters.ParameterGroup;
import java.util.List;
import java.util.Locale;

/**
 * A method of adaptation, such as LoRA: what is known of it without an adapter. What depends on one's configuration,
 * the composition first of all, its {@link AdapterConfig} makes. Everything else treats all methods alike, and finds
 * them through {@link AdapterMethods}. Immutable; used by any number of threads.
 */
public interface AdapterMethod {
    /** PEFT's name of it, which {@code peft_type} in its configurations is: VBLORA. */
    String peftType();

    /** What people call it: VB-LoRA. */
    String title();

    /** What the command line calls it. */
    default String optionName() {
        return peftType().toLowerCase(Locale.ROOT);
    }

    /**
     * A configuration of this method, checked.
     *
     * @throws io.vblora.InputException naming the key, what was found and what was expected
     */
    AdapterConfig config(JsonFields fields);

    /** A builder that begins with PEFT's defaults. */
    AdapterConfig.Builder<?> builder();

    /** The groups of the parameters that its updates are made of. */
    List<ParameterGroup> groups();

    /** Settings that the command line offers, besides those of all methods. */
    default List<MethodOption> options() {
        return List.of();
    }

    /** The learning rates of these groups that no other method has, as the command line offers them. */
    default List<MethodOption> learningRates() {
        return List.of();
    }

    /** How updates of this method are stored: all that is needed to train on first, then, if there is one, a compact
     * form that is for inference alone. */
    List<StoredForm> forms();

    /** Whether a new adapter's bytes say more beside those of LoRA of the same rank: not for LoRA itself. */
    default boolean isComparedWithLora() {
        return true;
    }
}
