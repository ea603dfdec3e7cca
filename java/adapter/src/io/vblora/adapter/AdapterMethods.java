package io.vblora.adapter;

import io.vblora.JsonFields;
import io.vblora.Services;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;

/**
 * All methods of adaptation on the class path or module path. They depend on this package, which therefore knows none
 * of them but finds their {@link MethodSource}s as {@link Services}.
 */
public final class AdapterMethods {
    /** The package of this library's own source: services are found in the order of the class path. */
    private static final String OWN_PACKAGE = AdapterMethods.class.getPackageName() + ".methods";

    private AdapterMethods() {}

    /**
     * All methods, those that come with this library first.
     *
     * @throws io.vblora.ServicesException if two have the same {@code peft_type}, or one cannot be used
     */
    public static List<AdapterMethod> all() {
        List<MethodSource> sources = new ArrayList<>(Services.all(MethodSource.class));
        sources.sort(Comparator.comparing(source -> !source.getClass().getPackageName().equals(OWN_PACKAGE)));
        List<AdapterMethod> methods = sources.stream().flatMap(source -> source.methods().stream()).toList();
        return List.copyOf(Services.byName(methods, AdapterMethod::peftType, "Two methods have the peft_type")
                .values());
    }

    /** Reads the configuration of the method that it names. */
    static AdapterConfig config(JsonFields fields) {
        List<AdapterMethod> methods = all();
        String type = fields.string("peft_type", "");
        return methods.stream().filter(method -> method.peftType().equals(type)).findFirst()
                .orElseThrow(() -> fields.wrong("peft_type", methods.stream().map(AdapterMethod::peftType)
                        .collect(Collectors.joining(" or "))))
                .config(fields);
    }
}
