# value KEY <MANIFEST : the value of a key in a jar's manifest. One folds long lines: a line that begins with a blank goes on
# with the one before.
value() { sed -e 's/\r$//' | sed -e ':a' -e 'N' -e '$!ba' -e 's/\n //g' | sed -n "s/^$1: *//p" | head -1; }
