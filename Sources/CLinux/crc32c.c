// CRC-32C (Castagnoli, RFC 3720 appendix B.4), with the instruction of SSE 4.2 where there is one.
#include "clinux.h"

#include <stdbool.h>
#include <string.h>

static uint32_t by_table(uint32_t crc, const uint8_t *bytes, size_t count) {
  static uint32_t table[256];
  static _Atomic bool is_made;
  if (!is_made) {
    // Two threads may make it at once: they write the same.
    for (uint32_t index = 0; index < 256; index++) {
      uint32_t value = index;
      for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0x82f63b78 : value >> 1;
      table[index] = value;
    }
    is_made = true;
  }
  for (size_t index = 0; index < count; index++) crc = table[(crc ^ bytes[index]) & 0xff] ^ crc >> 8;
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *bytes, size_t count) {
  uint64_t sum = crc;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    sum = __builtin_ia32_crc32di(sum, word);
  }
  for (; count > 0; bytes++, count--) sum = __builtin_ia32_crc32qi((uint32_t)sum, *bytes);
  return (uint32_t)sum;
}
#endif

uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count) {
  crc = ~crc;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~by_instruction(crc, bytes, count);
#endif
  return ~by_table(crc, bytes, count);
}

uint32_t clinux_crc32c_by_table(uint32_t crc, const void *bytes, size_t count) {
  return ~by_table(~crc, bytes, count);
}
