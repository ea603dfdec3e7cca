package io.vblora.adapter;

import io.vblora.JsonFields;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * All methods of adaptation on the class path or module path. They depend on this package, which therefore knows none
 * of them but finds their {@link MethodSource}s as services: those of its own class loader and those of the thread's,
 * unless the latter has a copy of this library of its own, whose methods are of no use here.
 */
public final class AdapterMethods {
    /** The package of this library's own source: services are found in the order of the class path. */
    private static final String OWN_PACKAGE = AdapterMethods.class.getPackageName() + ".methods";

    private AdapterMethods() {}

    /**
     * All methods, those that come with this library first.
     *
     * @throws IllegalStateException if two have the same {@code peft_type}
     */
    public static List<AdapterMethod> all() {
        Map<Class<?>, MethodSource> found = new LinkedHashMap<>();
        for (ClassLoader loader : new ClassLoader[] {AdapterMethods.class.getClassLoader(),
                Thread.currentThread().getContextClassLoader()}) {
            if (!hasOtherCopy(loader)) {
                ServiceLoader.load(MethodSource.class, loader).forEach(source ->
                        found.putIfAbsent(source.getClass(), source));
            }
        }
        List<MethodSource> sources = new ArrayList<>(found.values());
        sources.sort(Comparator.comparing(source -> !source.getClass().getPackageName().equals(OWN_PACKAGE)));
        List<AdapterMethod> methods = sources.stream().flatMap(source -> source.methods().stream()).toList();
        Set<String> types = new LinkedHashSet<>();
        for (AdapterMethod method : methods) {
            if (!types.add(method.peftType())) {
                throw new IllegalStateException("Two methods have the peft_type " + method.peftType() + ", from "
                        + found.keySet());
            }
        }
        return methods;
    }

    /** Whether this class loader has another class of sources than this one; null is the system's class loader. */
    private static boolean hasOtherCopy(ClassLoader loader) {
        try {
            return loader != null
                    && Class.forName(MethodSource.class.getName(), false, loader) != MethodSource.class;
        } catch (ClassNotFoundException e) {
            return false;
        }
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
