// Whether two pictures have the same pixels, whatever the compression: exit status 0, 1, or 2 for files that cannot be
// compared.
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static png_bytep pixels(const char *path, png_image *image) {
    memset(image, 0, sizeof *image);
    image->version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(image, path)) {
        fprintf(stderr, "%s: %s\n", path, image->message);
        exit(2);
    }
    image->format = PNG_FORMAT_RGB;
    png_bytep memory = malloc(PNG_IMAGE_SIZE(*image));
    if (!memory || !png_image_finish_read(image, NULL, memory, 0, NULL)) {
        fprintf(stderr, "%s: %s\n", path, image->message);
        exit(2);
    }
    return memory;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    png_image first, second;
    png_bytep a = pixels(argv[1], &first), b = pixels(argv[2], &second);
    if (first.width != second.width || first.height != second.height) {
        fprintf(stderr, "the pictures are of different sizes\n");
        return 2;
    }
    size_t count = PNG_IMAGE_SIZE(first), differing = 0;
    int largest = 0;
    for (size_t i = 0; i < count; i++) {
        int difference = abs(a[i] - b[i]);
        differing += difference > 0;
        largest = difference > largest ? difference : largest;
    }
    printf("largest difference %d of 255, %zu of %zu bytes differ\n", largest, differing, count);
    return differing == 0 ? 0 : 1;
}
