package io.vblora;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.function.Function;

/** What other artifacts add to this library: services ({@link ServiceLoader}) on the class path or module path. */
public final class Services {
    private Services() {}

    /**
     * A new object of each service of a type: those of the class loader that has the type, and those of the thread's,
     * unless the latter has a copy of the type of its own, whose services are of no use here. They come in the order in
     * which they are found. Of classes of one name, such as those of a copy in the thread's class loader, the first
     * counts.
     *
     * @param type its package is exported, and its module declares to use it
     * @throws ServicesException if one cannot be made, such as one that is named but not there
     */
    public static <S> List<S> all(Class<S> type) {
        Services.class.getModule().addUses(type);
        Map<String, S> found = new LinkedHashMap<>();
        for (ClassLoader loader : new ClassLoader[] {type.getClassLoader(),
            Thread.currentThread().getContextClassLoader()}) {
            if (!hasOtherCopy(loader, type)) {
                try {
                    ServiceLoader.load(type, loader)
                            .forEach(service -> found.putIfAbsent(service.getClass().getName(), service));
                } catch (ServiceConfigurationError e) {
                    throw new ServicesException("A service cannot be used: " + e.getMessage()
                            + (e.getCause() == null ? "" : " (" + e.getCause() + ")"), e);
                }
            }
        }
        return List.copyOf(found.values());
    }

    /**
     * What services offer, by name, in their order.
     *
     * @param twoHave what messages say of two with one name: "Two optimizers are named"
     * @throws ServicesException if two have the same name, or one has none
     */
    public static <S> Map<String, S> byName(List<? extends S> offered, Function<S, String> name, String twoHave) {
        Map<String, S> byName = new LinkedHashMap<>();
        for (S one : offered) {
            String its = name.apply(one);
            if (its == null) {
                throw new ServicesException("A service cannot be used: " + one.getClass().getName() + " has no name");
            }
            S other = byName.put(its, one);
            if (other != null) {
                throw new ServicesException(twoHave + " " + its + ": " + other.getClass().getName() + " and "
                        + one.getClass().getName());
            }
        }
        return byName;
    }

    /** Whether this class loader has another class of this name; null is the system's class loader. */
    private static boolean hasOtherCopy(ClassLoader loader, Class<?> type) {
        try {
            return Class.forName(type.getName(), false, loader == null ? ClassLoader.getSystemClassLoader() : loader)
                    != type;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
