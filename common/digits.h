/*
 * digits - a number that a macro names, as text: DIGITS(SITES_MAX) is "100".
 */
#ifndef COMMON_DIGITS_H
#define COMMON_DIGITS_H

#define DIGITS(number) DIGITS_OF_WORD(number)
#define DIGITS_OF_WORD(word) #word

#endif
