package io.vblora.adapter;

import io.vblora.JsonFields;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * All methods of adaptation that the class path or module path has. They depend on this package, which therefore knows
 * none of them, but finds their {@link MethodSource}s as services: of its own class loader, and of the thread's.
 */
public final class AdapterMethods {
    private AdapterMethods() {}

    /**
     * All methods, those that come with this library first.
     *
     * @throws IllegalStateException if two have the same {@code peft_type}
     */
    public static List<AdapterMethod> all() {
        Set<Class<?>> sources = new LinkedHashSet<>();
        List<AdapterMethod> methods = new ArrayList<>();
        for (ClassLoader loader : new ClassLoader[] {AdapterMethods.class.getClassLoader(),
                Thread.currentThread().getContextClassLoader()}) {
            ServiceLoader.load(MethodSource.class, loader).forEach(source -> {
                if (sources.add(source.getClass())) {
                    methods.addAll(source.methods());
                }
            });
        }
        Set<String> types = new LinkedHashSet<>();
        for (AdapterMethod method : methods) {
            if (!types.add(method.peftType())) {
                throw new IllegalStateException("Two methods have the peft_type " + method.peftType() + ", from "
                        + sources);
            }
        }
        return methods;
    }

    /** The configuration of whatever method it names. */
    static AdapterConfig config(JsonFields fields) {
        List<AdapterMethod> methods = all();
        String type = fields.string("peft_type", "");
        return methods.stream().filter(method -> method.peftType().equals(type)).findFirst()
                .orElseThrow(() -> fields.wrong("peft_type", methods.stream().map(AdapterMethod::peftType)
                        .collect(Collectors.joining(" or "))))
                .config(fields);
    }
}
