/**
 * Adapters, their files, parameters and optimizers, for whoever runs a model; and what all of vblora says errors with.
 * The native library is in a module of its own, {@code io.vblora.kernels.linux.x86_64}.
 */
module io.vblora.adapter {
    requires transitive io.vblora.kernels;
    requires transitive com.fasterxml.jackson.databind;

    exports io.vblora;
    exports io.vblora.adapter;
    exports io.vblora.adapter.methods.lora;
    exports io.vblora.adapter.methods.vblora;
    exports io.vblora.adapter.peft;
    exports io.vblora.optimizer;
    exports io.vblora.optimizer.adamw;
    exports io.vblora.parameters;
    exports io.vblora.weights;

    uses io.vblora.adapter.MethodSource;
    provides io.vblora.adapter.MethodSource with io.vblora.adapter.methods.OwnMethods;

    uses io.vblora.optimizer.OptimizerFactory;
    provides io.vblora.optimizer.OptimizerFactory with io.vblora.optimizer.adamw.AdamWFactory;
}
