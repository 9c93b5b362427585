# Says things that want to be markup, and reports metrics with such names.
printf '%s\n' "<img src=x onerror='window.hurt=1'>" "</pre><script>window.hurt=1</script>" "javascript:window.hurt=1"
printf '\033[2J\033]0;title\007 back\bspace \342\200\256 turned\n'
printf '{"<img src=x onerror=window.hurt=1>": 1.5, "__proto__": 2.5, "constructor": 3.5}\n'
exit 1
