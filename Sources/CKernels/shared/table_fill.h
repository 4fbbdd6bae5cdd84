// Puts the kernels of table_body.h into a table. Outside the target region: it runs on every processor.

static void fill_shared(struct kernel_table *table) {
    table->activate_f32 = activate_f32;
    table->binary_f32 = binary_f32;
    table->affine_f32 = affine_f32;
    table->modulate_f32 = modulate_f32;
    table->gate_add_f32 = gate_add_f32;
    table->geglu_f32 = geglu_f32;
    table->layernorm_f32 = layernorm_f32;
    table->rmsnorm_f32 = rmsnorm_f32;
    table->groupnorm_stats_f32 = groupnorm_stats_f32;
    table->scale_shift_f32 = scale_shift_f32;
    table->softmax_f32 = softmax_f32;
    table->l2_normalize_f32 = l2_normalize_f32;
    table->mean_rows_f32 = mean_rows_f32;
    table->max_pool_f32 = max_pool_f32;
    table->max_pool_i8 = max_pool_i8;
    table->f32_from_f16 = f32_from_f16;
    table->f32_from_bf16 = f32_from_bf16;
    table->f32_from_i8 = f32_from_i8;
    table->f32_from_i4 = f32_from_i4;
    table->quantize_i8 = quantize_i8;
    table->quantize_rows_i8 = quantize_rows_i8;
    table->peak_f32 = peak_f32;
    table->read_f32 = read_f32;
}
