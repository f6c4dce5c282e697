export FROM_APP_PROFILE=yes
