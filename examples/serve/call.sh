#!/usr/bin/env bash
# A call behind two symmetric NATs, from bash alone: no library, no program but callpath and bash itself.
set -euo pipefail

coproc SERVER { callpath serve --tcp 127.0.0.1:0 --end-with-stdin; }   # ends with this script
read -r where <&"${SERVER[0]}"                       # {"tcp": "127.0.0.1:40123", "token": "..."}
address=${where#*\"tcp\": \"}; address=${address%%\"*}
token=${where#*\"token\": \"}; token=${token%%\"*}

exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
ask() {                                              # one line out, one line in
    echo "$1" >&3
    read -r answer <&3
    echo "$answer"
    [[ $answer == *'"ok":true'* ]]
}

ask '{"do": "hello", "token": "'"$token"'"}' >/dev/null
ask '{"do": "open", "topology": "two_homes", "parameters": {"alice_nat": "symmetric", "bob_nat": "symmetric"}}' >/dev/null
ask '{"do": "impair", "link": "alice-access", "options": {"delay": "80ms", "loss": "1%"}}' >/dev/null
ask '{"do": "call", "caller": "alice", "callee": "bob"}' >/dev/null
ask '{"do": "path", "call": "call-1"}'
